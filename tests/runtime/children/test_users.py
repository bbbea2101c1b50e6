"""Users of this machine."""

from __future__ import annotations

import grp
import pwd

from twisted.trial.unittest import SynchronousTestCase

from netservices.runtime.children.users import RunAs, UserError, find_group, find_user


class FindUserTests(SynchronousTestCase):
    """S3."""

    def test_account_has_all_its_groups(self) -> None:
        facts = pwd.getpwuid(65534)
        found = find_user(facts.pw_name)
        self.assertEqual((found.name, found.uid, found.gid), (facts.pw_name, 65534, facts.pw_gid))
        self.assertIn(facts.pw_gid, found.groups)
        self.assertEqual(find_user("65534"), found)

    def test_group_may_be_another(self) -> None:
        name = grp.getgrgid(0).gr_name
        found = find_user("65534", name)
        self.assertEqual(found.gid, 0)
        self.assertIn(0, found.groups)

    def test_number_without_an_account_stands_for_itself(self) -> None:
        self.assertEqual(find_user("3999999999"), RunAs("3999999999", 3999999999, 3999999999, (3999999999,)))

    def test_unknown_names_are_told(self) -> None:
        for name in ("no-such-user-here", "", "-1", "4294967295", "9" * 30, "²"):
            error = self.assertRaises(UserError, find_user, name)
            self.assertIn(f'"{name}"', str(error))
        for name in ("no-such-group-here", "3999999999", "9" * 30):
            error = self.assertRaises(UserError, find_group, name)
            self.assertIn(f'"{name}"', str(error))
