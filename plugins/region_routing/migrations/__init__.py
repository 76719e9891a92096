"""Migrations of this plugin; a file that was released is never changed."""
