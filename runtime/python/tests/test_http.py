"""What `runner.http` sends, and what it makes of answers, with a transport of the test's own."""

import unittest
from unittest import mock

from runner import http


class Server:
    """Answers requests from a list, and keeps them."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.requests = []

    def send(self, method, scheme, authority, path, headers, body, deadline):
        self.requests.append((method, f"{scheme}://{authority}{path}", headers, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def redirect(status, location):
    return status, [("location", location)], b""


OK = (200, [("Content-Type", "text/plain; charset=latin-1"), ("x-a", "1"), ("x-a", "2")], b"\xe9")


class Requests(unittest.TestCase):
    def sent(self, call, *answers):
        server = Server(*(answers or [OK]))
        with mock.patch.object(http.transport, "send", server.send):
            self.answer = call()
        return server.requests

    def test_an_address_with_parameters(self):
        sent = self.sent(lambda: http.get("https://bücher.example:8443/ä b?x=1#f", params={"q": ["a&b", "ü"]}))
        self.assertEqual(sent[0][:2], (
            "GET", "https://xn--bcher-kva.example:8443/%C3%A4%20b?x=1&q=a%26b&q=%C3%BC"))

    def test_what_is_encoded_already_stays(self):
        sent = self.sent(lambda: http.get("https://h/a%2Fb?c=%26"))
        self.assertEqual(sent[0][1], "https://h/a%2Fb?c=%26")

    def test_bodies(self):
        sent = self.sent(lambda: http.post("https://h", json={"a": "ü"}))
        self.assertEqual(sent[0][2:], (
            {"content-type": "application/json", "content-length": "11"}, '{"a": "ü"}'.encode()))
        sent = self.sent(lambda: http.put("https://h", data={"a": "1 2"}))
        self.assertEqual(sent[0][3], b"a=1+2")
        self.assertEqual(sent[0][2]["content-type"], "application/x-www-form-urlencoded")
        sent = self.sent(lambda: http.patch("https://h", data="ü", headers={"Content-Type": "text/x"}))
        self.assertEqual(sent[0][2:], ({"content-type": "text/x", "content-length": "2"}, "ü".encode()))

    def test_an_empty_body_is_none(self):
        for call in [lambda: http.post("https://h"), lambda: http.post("https://h", data=b"")]:
            self.assertEqual(self.sent(call)[0][2:], ({"content-length": "0"}, None))
        self.assertEqual(self.sent(lambda: http.delete("https://h"))[0][2:], ({}, None))

    def test_basic_authentication(self):
        sent = self.sent(lambda: http.get("https://h", auth=("a", "b")))
        self.assertEqual(sent[0][2], {"authorization": "Basic YTpi"})

    def test_an_answer(self):
        self.sent(lambda: http.get("https://h/x"))
        self.assertEqual((self.answer.status_code, self.answer.ok, self.answer.text), (200, True, "é"))
        self.assertEqual((self.answer.headers["X-A"], self.answer.url), ("1, 2", "https://h/x"))
        self.answer.raise_for_status()
        with self.assertRaisesRegex(http.Error, "the answer of https://h/x is not JSON"):
            self.answer.json()
        self.sent(lambda: http.get("https://h/x?secret"), (404, [], b'{"a": 1}'))
        self.assertEqual(self.answer.json(), {"a": 1})
        with self.assertRaisesRegex(http.StatusError, "^https://h/x answered 404$"):
            self.answer.raise_for_status()

    def test_redirects_are_requests_of_their_own(self):
        sent = self.sent(
            lambda: http.post("https://h/a", json=1, headers={"authorization": "x"}),
            redirect(302, "/b"), redirect(307, "c"), OK)
        self.assertEqual([request[:2] for request in sent], [
            ("POST", "https://h/a"), ("GET", "https://h/b"), ("GET", "https://h/c")])
        self.assertEqual(sent[1][2:], ({"authorization": "x"}, None))
        self.assertEqual([r.status_code for r in self.answer.history], [302, 307])
        kept = self.sent(lambda: http.post("https://h/a", data=b"x"), redirect(308, "/b"), OK)
        self.assertEqual((kept[1][0], kept[1][3]), ("POST", b"x"))

    def test_another_origin_sees_no_header_that_may_hold_a_secret(self):
        given = {"Authorization": "x", "X-Api-Key": "y", "Cookie": "z", "Accept": "text/x"}
        for target in ["http://h/", "https://other/", "https://h:8443/", "https://h.other/"]:
            sent = self.sent(lambda: http.get("https://h/", headers=given), redirect(301, target), OK)
            self.assertEqual(sent[1][2], {"accept": "text/x"}, target)
        sent = self.sent(lambda: http.get("https://h/", headers=given), redirect(301, "https://H:443/"), OK)
        self.assertEqual(len(sent[1][2]), 4)

    def test_redirects_end(self):
        with self.assertRaisesRegex(http.TooManyRedirects, "more than 10"):
            self.sent(lambda: http.get("https://h/"), *[redirect(302, "/")] * 11)
        self.assertEqual(len(self.sent(lambda: http.head("https://h/"), redirect(302, "/"))), 1)

    def test_a_refusal_keeps_its_words_and_hides_the_query(self):
        refusal = http.Error("no policy allows access to h")
        with self.assertRaisesRegex(http.Error, "^GET https://h/x: no policy allows access to h$"):
            self.sent(lambda: http.get("https://h/x?key=hush"), refusal)
        with self.assertRaises(http.Timeout):
            self.sent(lambda: http.get("https://h/x"), http.Timeout("late"))

    def test_an_address_that_is_none_is_refused(self):
        for url in ["", "h/x", "ftp://h/", "https://", "https://h:x/", "https://a:b@h/", "file:///etc"]:
            with self.assertRaises(http.Error, msg=url):
                self.sent(lambda: http.get(url))
        with self.assertRaises(http.Error):
            self.sent(lambda: http.get("https://h/"), redirect(302, "file:///etc/passwd"))
