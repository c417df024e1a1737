"""The HTTP/1.1 server and the request object that every front door yields.

    server.py      HTTPServer: options, listening sockets, graceful stop
      accepting.py   taking connections   unix_sockets.py  whose a path is      tls.py  a context that can work
    protocol.py    one connection: bytes in, request heads out, deadlines, keep-alive
    channel.py     its transport: what goes out, back-pressure, clients that do not read
      head.py        a request head, checked and taken apart      fields.py   its header fields
      body.py        a request body on its way in                 chunks.py, inflate.py
      forms.py       a form's arguments and files                 spool.py    a body in a temporary file
      target.py      request target and Host, judged alike by every server
    connection.py  the exchange: one request's answer, its framing, its back-pressure
      response.py    status lines, Date, header safety
    roads.py       how a request reaches an application: directly, or through Tornado's delegates
    stream.py      what `detach()` gives: a Tornado IOStream over the transport
    websocket.py   a WebSocket on the transport: messages, pings, back-pressure, the close handshake
      frames.py      messages from bytes, without I/O             deflate.py  permessage-deflate
    supervisor.py  worker processes over shared sockets

Begin with `contract.py`, then `protocol.HTTPProtocol.data_received`.
"""
