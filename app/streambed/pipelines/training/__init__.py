"""Training a network on the workers of a Spark cluster, by one of several engines.

An engine is four things: a data source (shards.py: files that a Spark job wrote), a model
(replica.py and what implements it), a rendezvous (how its ranks are started from Spark, and told of
each other) and an artefact (state.py: weights that the streaming classifier loads).
"""
