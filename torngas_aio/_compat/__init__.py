"""Names of libraries that these do not document, one module for each library; no other module should need any.

    sqlalchemy.py      the parts of a SELECT

`tests/upstream/` has a test for each name, which fails when a version of the library changes it.
"""
