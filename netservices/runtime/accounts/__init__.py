"""Accounts: who may log in where, with which password, and what is theirs."""

from netservices.runtime.accounts.accounts import Accounts
from netservices.runtime.accounts.commands import AccountCommands
from netservices.runtime.accounts.control import AccountControl
from netservices.runtime.accounts.credentials import CertificateLogin, ExchangeLogin, PasswordLogin
from netservices.runtime.accounts.errors import (
    AccountError,
    LoginBusy,
    LoginRefused,
    StoreError,
    UnknownAccountError,
)
from netservices.runtime.accounts.hashing import Hasher
from netservices.runtime.accounts.make import make_accounts, make_store
from netservices.runtime.accounts.model import Account, IAccount
from netservices.runtime.accounts.portal import make_portal
from netservices.runtime.accounts.reports import EVENTS

__all__ = [
    "EVENTS",
    "Account",
    "AccountCommands",
    "AccountControl",
    "AccountError",
    "Accounts",
    "CertificateLogin",
    "ExchangeLogin",
    "Hasher",
    "IAccount",
    "LoginBusy",
    "LoginRefused",
    "PasswordLogin",
    "StoreError",
    "UnknownAccountError",
    "make_accounts",
    "make_portal",
    "make_store",
]
