"""What users ask for, read and checked before a machine is made: wrong values are UserErrors."""
