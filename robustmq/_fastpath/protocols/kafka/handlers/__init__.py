"""One module per family of APIs. A handler takes the broker, the request's header and the request, and returns the
response; Malformed from it closes the connection.
"""
