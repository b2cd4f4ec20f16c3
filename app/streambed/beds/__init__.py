"""Beds: sets of nodes made from an inventory, from nothing to verified and back to nothing.

`lifecycle` is the door; a provider (`provider.Provider`) makes the nodes, everything after
that reaches them over SSH and does not know what they are made of.
"""
