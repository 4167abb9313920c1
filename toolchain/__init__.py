"""How a machine gets the engine, the plugins, the embedded cluster and the local images.

Modules that run before the project's virtual environment exists use the standard library only.
"""
