"""Requests to a node that may die at any moment."""

import http.client
import json
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 20


class Unanswered(Exception):
    """The request may or may not have reached the server: no answer came."""


class Refused(Exception):
    """The server answered with an error."""

    def __init__(self, status, body):
        super().__init__(f"{status} {body.get('code')}: {body.get('message')}")
        self.status = status
        self.code = body.get("code")


class Client:
    """One connection, kept alive, of one thread."""

    def __init__(self, node, token=None):
        self._node = node
        self._token = token
        self._connection = None
        self._url = None

    def request(self, method, path, body=None, headers=None):
        """The `result` of the answer. Raises Unanswered or Refused. Bytes are sent as they are."""
        sent = dict(headers or {})
        if self._token:
            sent["token"] = self._token
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["content-type"] = "application/json"
        try:
            answer, content = self._exchange(method, path, body, sent)
            content = json.loads(content)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Unanswered(str(error)) from error
        if answer.status >= 400:
            raise Refused(answer.status, content)
        return content["result"]

    def _exchange(self, method, path, body, headers):
        url = self._node.url
        if url is None:
            raise ConnectionRefusedError("the node is down")
        if self._connection is None or self._url != url:
            self.close()
            self._url = url
            self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=TIMEOUT_SECONDS)
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        return answer, answer.read()

    def close(self):
        """Closes the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
