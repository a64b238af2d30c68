"""HTTP/1.1 on the wire: bytes to messages, strictly (RFC 9110, RFC 9112; rules in docs/http.md).

    grammar    the regular expressions and the error; everything else is built from these
    fields     one header line -> Field, remembered by line
    target     the request target -> the one path that routing and upstream both see
    usual      the heads of most requests, taken apart by one expression
    request    a request head -> RequestHead
    response   a response head -> ResponseHead
    body       Content-Length, chunked and until-close bodies, decoded and encoded

Pure: no socket, no clock. A message is either understood in one way only or refused with
MessageError; framing is decided here, once, and re-emitted by whoever forwards the message.
"""
