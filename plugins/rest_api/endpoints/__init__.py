"""The endpoints, a class for each kind of thing; what they share are the values in `values.py`."""
