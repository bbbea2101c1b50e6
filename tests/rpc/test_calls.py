"""Documents to calls and back."""

from __future__ import annotations

import contextlib
import xmlrpc.client
from xmlrpc.client import Fault

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from netservices.rpc import Call, FaultCode, make_fault, make_response, parse_call

PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=40)


class CallTests(SynchronousTestCase):
    """X1 and X3, as far as the control socket needs them."""

    def assert_fault(self, document: bytes, code: FaultCode) -> None:
        self.assertEqual(self.assertRaises(Fault, parse_call, document).faultCode, code)

    @given(
        st.lists(
            st.one_of(PRINTABLE, st.integers(-(2**31), 2**31 - 1), st.booleans(), st.binary(max_size=40)), max_size=5
        )
    )
    @settings(deadline=None, max_examples=50)
    def test_any_call_comes_back(self, parameters: list[object]) -> None:
        document = xmlrpc.client.dumps(tuple(parameters), "a.method").encode()  # type: ignore[arg-type]
        call = parse_call(document)
        self.assertEqual(call.method, "a.method")
        # XML 1.0 2.11: a carriage return arrives as a line feed.
        wanted = tuple(each.replace("\r", "\n") if isinstance(each, str) else each for each in parameters)
        self.assertEqual(call.parameters, wanted)

    def test_call_without_parameters(self) -> None:
        self.assertEqual(parse_call(b"<methodCall><methodName>x</methodName></methodCall>"), Call("x", ()))

    def test_document_type_is_refused(self) -> None:
        """X1."""
        call = b"<methodCall><methodName>x</methodName></methodCall>"
        for head in (b"<!DOCTYPE x>", b'<?xml version="1.0"?>\n<!DOCTYPE x [<!ENTITY a "b">]>', b"<!ENTITY a>"):
            self.assert_fault(head + call, FaultCode.NOT_WELL_FORMED)

    def test_document_type_behind_a_comment_is_refused(self) -> None:
        """X1: what stands in a comment is no root element."""
        entity = b'<!DOCTYPE x [<!ENTITY a "b">]><methodCall><methodName>&a;</methodName></methodCall>'
        for head in (b"<!-- <methodCall -->", b"<?x <methodCall?>", b"\xef\xbb\xbf<!--<methodCall>-->\n"):
            self.assert_fault(head + entity, FaultCode.NOT_WELL_FORMED)

    def test_comments_and_a_mark_before_the_call_are_fine(self) -> None:
        document = b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a -- b -->'.replace(b" -- ", b" ")
        call = b"<methodCall><methodName>x</methodName></methodCall>"
        self.assertEqual(parse_call(document + call), Call("x", ()))

    def test_endless_prolog_takes_no_time(self) -> None:
        self.assert_fault(b"<?a?><!--b-->" * 50_000, FaultCode.INVALID_REQUEST)

    def test_fault_in_a_call_is_refused(self) -> None:
        """Its number is the peer's, not ours."""
        fault = make_fault(Fault(200, "x")).replace(b"methodResponse", b"methodCall")
        self.assert_fault(fault, FaultCode.INVALID_REQUEST)

    def test_number_that_is_none_is_refused(self) -> None:
        parameter = b"<params><param><value><bigdecimal>x</bigdecimal></value></param></params>"
        self.assert_fault(
            b"<methodCall><methodName>x</methodName>" + parameter + b"</methodCall>", FaultCode.NOT_WELL_FORMED
        )

    def test_other_encodings_are_refused(self) -> None:
        document = "<!DOCTYPE x><methodCall><methodName>x</methodName></methodCall>".encode("utf-16")
        self.assert_fault(document, FaultCode.UNSUPPORTED_ENCODING)

    def test_what_is_no_call_is_refused(self) -> None:
        self.assert_fault(b"", FaultCode.INVALID_REQUEST)
        self.assert_fault(b"<methodResponse/>", FaultCode.INVALID_REQUEST)
        self.assert_fault(b"<methodCall></methodCall>", FaultCode.INVALID_REQUEST)
        self.assert_fault(b"<methodCall><methodName>", FaultCode.NOT_WELL_FORMED)

    @given(st.binary(max_size=200))
    @settings(deadline=None, max_examples=100)
    def test_any_bytes_are_a_call_or_a_fault(self, document: bytes) -> None:
        for body in (document, b"<methodCall>" + document):
            with contextlib.suppress(Fault):
                parse_call(body)

    def test_value_type_that_is_unknown_is_refused(self) -> None:
        parameter = b"<params><param><value><int>no</int></value></param></params>"
        self.assert_fault(
            b"<methodCall><methodName>x</methodName>" + parameter + b"</methodCall>", FaultCode.NOT_WELL_FORMED
        )

    def test_response_is_read_by_the_standard_library(self) -> None:
        value = {"ünïcode": [1, True, 2.5, None, b"bytes"]}
        [back], _ = xmlrpc.client.loads(make_response(value), use_builtin_types=True)
        self.assertEqual(back, value)

    def test_fault_is_read_by_the_standard_library(self) -> None:
        for code in (7, FaultCode.METHOD_NOT_FOUND):
            error = self.assertRaises(Fault, xmlrpc.client.loads, make_fault(Fault(code, "no <way>")))
            self.assertEqual((error.faultCode, error.faultString), (code, "no <way>"))

    def test_value_that_cannot_be_said_is_refused(self) -> None:
        self.assertRaises(TypeError, make_response, object())
        self.assertRaises(OverflowError, make_response, 2**40)
