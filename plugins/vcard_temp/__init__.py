"""The old vCard: who somebody is, with a picture (XEP-0054)."""
