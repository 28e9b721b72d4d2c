"""`signet conformance`: whether a server, ours or another, speaks the Open Inference Protocol.

Black box: knows an address and the names of identity models, nothing of how a server is built. What is not in the
protocol's specification but usual among its servers is a convention, and no server fails for it.
"""
