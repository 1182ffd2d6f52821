"""The methods, and what several of them are made of.

A generator is a file or a folder here, a tokenization one in ``tokenizations/``; each is named by a YAML in
``conf/`` and begins at its ``build``. ``parts/`` holds no method: symbols of packets, quality classes, chains,
how flows begin, and what the references keep and store.
"""
