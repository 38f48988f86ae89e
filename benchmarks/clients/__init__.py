"""One file for each client: the same few jobs, each done as a competent user of that library would.

A job is a function that takes the server's url and the row's parameters and returns its figures. Callers do equal
work: `json.dumps` of the request with a tag, `json.loads` of the reply, and the tag finds who asked.
"""
