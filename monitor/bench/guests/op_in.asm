; IN from the POST port.
    in   al, POST_PORT
