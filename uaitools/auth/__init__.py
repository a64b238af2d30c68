"""Who sends a request, and what they may do: API keys, JWTs and principal tokens.

A request's way, file by file:

    credential     what a request brings: a token out of its headers
    authenticator  credential -> principal, remembered until it expires
    keys           API keys: their format, and the set of a key file
    jwt            tokens of other issuers, verified (jws: signatures, claims: the payload)
    jwks           their public keys, fetched from a URL and kept fresh
    public_key     the key of a PEM file
    service_token  principal tokens: whom the gateway vouches for, to the services behind it
    principal      who it is: id, scopes, roles
    errors         401 and 403 with their challenge (RFC 6750)
    middleware     all of it in front of an aiohttp application's handlers

Beside it: `config` is the `[auth]` table, `keyfile` reads and rewrites the file of keys, `memo` is
bounded, `command` is `python -m uaitools keys`. Pure are principal, credential, errors, claims,
jws, jwt, keys, memo and service_token: `now`, in unix seconds, is an argument. PyJWT is imported
only where a configuration asks for it. Nothing here imports a component, or logs a secret.
"""
