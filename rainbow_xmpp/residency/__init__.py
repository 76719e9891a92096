"""Proving that people's data stays in its region: unique texts are planted in one, and looked for in all others.

`canaries` plants, `finder` looks through bytes, `places` through files and databases, `excuses` knows what may be
elsewhere, `report` says what was done and found.
"""
