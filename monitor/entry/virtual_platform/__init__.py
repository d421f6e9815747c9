"""The name under which this project is installed: `python -m virtual_platform` is `vp`.

The packages are called bt, devices and monitor, and other projects may use such names too. This
one is nobody else's. It lies in a folder of its own, which is no package: setup.cfg says that it is
at the top level when installed, and a link to the sources has that folder on its path.
"""
