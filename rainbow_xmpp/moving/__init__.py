"""Moving people and companies to another region.

In this order, each step written down before the next one begins, and each one bearing to be done twice:

1. *freeze*: nothing of the account changes any more; who asks is told to wait (`frozen`).
2. *send*: every row of every table that is declared as people's data goes to the other region in parts (`sender`), and
   lies there, sealed, until all of it was counted and its digests compared (`receiver`).
3. *switch*: the other region makes the account out of the parts, in one transaction, and reads it again to compare.
4. *delete*: here the account goes with all that it owns; for some weeks it is known where it went. Clients that are
   connected are sent there.
5. *prove*: nothing of it is found any more, in any table.

A crash at any point goes on where it was. What fails before the switch leaves the person where they are.
"""
