"""The other machines that the same guests run on."""
