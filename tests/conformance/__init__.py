"""A conformance run of relay's WebSocket transport against RFC 6455: `make conformance`.

The groups have the numbers of the Autobahn TestSuite's, whose list of things worth trying this follows; the cases are
written anew from the RFC. The server under test is `relay.testing.echo`.
"""
