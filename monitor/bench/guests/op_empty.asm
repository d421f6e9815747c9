; Nothing: the loop that is subtracted.
