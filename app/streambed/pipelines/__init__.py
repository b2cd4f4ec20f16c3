"""Programs that run on the nodes; the controller starts them over SSH and follows their events.

Nothing here imports anything of the controller, and heavy imports are lazy: a client node has a
fraction of a core, and a program that needs no Chainer must not pay for it.
"""
