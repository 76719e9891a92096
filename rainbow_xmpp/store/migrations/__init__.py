"""The core's migrations, one file each; a file that was released is never changed."""
