"""The short pages."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from netservices.http.errors import make_error, make_not_allowed, make_options, make_redirect


class ErrorTests(SynchronousTestCase):
    """What a person reads when something went wrong."""

    def test_page_escapes_what_it_is_given(self) -> None:
        """H13: no text of a peer becomes markup, whatever characters it has."""
        answer = make_error(404, '<script>"&\udc80')
        self.assertEqual(answer.status, 404)
        self.assertIn(b"<p>&lt;script&gt;&quot;&amp;\\udc80</p>", answer.content)
        self.assertIn((b"X-Content-Type-Options", b"nosniff"), answer.fields)

    def test_page_without_words_names_the_status(self) -> None:
        """The title is enough."""
        self.assertIn(b"<h1>404 Not Found</h1>\n</body>", make_error(404).content)

    def test_special_answers_carry_their_field(self) -> None:
        """H7, H10: Allow and Location."""
        self.assertIn((b"Allow", b"GET, HEAD"), make_not_allowed((b"GET", b"HEAD")).fields)
        self.assertEqual(make_options((b"GET",)).fields, ((b"Allow", b"GET"),))
        answer = make_redirect(b"/<x>/")
        self.assertIn((b"Location", b"/<x>/"), answer.fields)
        self.assertIn(b"/&lt;x&gt;/", answer.content)
