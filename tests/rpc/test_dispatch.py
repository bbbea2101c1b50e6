"""Methods by name."""

from __future__ import annotations

from xmlrpc.client import Fault

from twisted.trial.unittest import SynchronousTestCase

from netservices.rpc import Call, Dispatcher, FaultCode


class DispatcherTests(SynchronousTestCase):
    """X3."""

    def setUp(self) -> None:
        self.dispatcher = Dispatcher()
        self.dispatcher.add("math.add", lambda a, b: a + b)

    def test_method_gets_its_parameters(self) -> None:
        self.assertEqual(self.dispatcher.dispatch(Call("math.add", (1, 2))), 3)

    def test_unknown_method_is_a_fault(self) -> None:
        fault = self.assertRaises(Fault, self.dispatcher.dispatch, Call("math.sub", ()))
        self.assertEqual(fault.faultCode, FaultCode.METHOD_NOT_FOUND)
        self.assertIn("math.sub", fault.faultString)

    def test_other_parameters_are_a_fault(self) -> None:
        fault = self.assertRaises(Fault, self.dispatcher.dispatch, Call("math.add", (1,)))
        self.assertEqual(fault.faultCode, FaultCode.INVALID_PARAMETERS)

    def test_type_error_of_the_method_itself_is_not_the_callers(self) -> None:
        self.assertRaises(TypeError, self.dispatcher.dispatch, Call("math.add", (1, "x")))

    def test_name_is_given_once(self) -> None:
        self.assertRaises(ValueError, self.dispatcher.add, "math.add", print)
