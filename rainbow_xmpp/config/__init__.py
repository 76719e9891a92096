"""The configuration: TOML files and the environment in, frozen dataclasses out, every problem at once."""

from rainbow_xmpp.config.auth import Auth, Password
from rainbow_xmpp.config.border import BorderConfig
from rainbow_xmpp.config.cluster import ClusterConfig
from rainbow_xmpp.config.convert import Table, section
from rainbow_xmpp.config.declare import Reload, key
from rainbow_xmpp.config.doors import Listen, Tls, Websocket
from rainbow_xmpp.config.elsewhere import ElsewhereConfig
from rainbow_xmpp.config.levels import ServiceLevel
from rainbow_xmpp.config.limits import Limits, Xml
from rainbow_xmpp.config.load import Draft, load, read
from rainbow_xmpp.config.mail import MailConfig
from rainbow_xmpp.config.problem import ConfigProblems, Origin, Problem, did_you_mean
from rainbow_xmpp.config.regions import Region, RegionKind
from rainbow_xmpp.config.schema import Config, Metrics, PluginTable, Storage
from rainbow_xmpp.config.secret import Secret
from rainbow_xmpp.config.stream_management import StreamManagementConfig
from rainbow_xmpp.config.watching import Audit, Log, LogFormat, LogLevel, Observe, Tracing

__all__ = [
    "Audit",
    "Auth",
    "BorderConfig",
    "ClusterConfig",
    "Config",
    "ConfigProblems",
    "Draft",
    "ElsewhereConfig",
    "Limits",
    "Listen",
    "Log",
    "LogFormat",
    "LogLevel",
    "MailConfig",
    "Metrics",
    "Observe",
    "Origin",
    "Password",
    "PluginTable",
    "Problem",
    "Region",
    "RegionKind",
    "Reload",
    "Secret",
    "ServiceLevel",
    "Storage",
    "StreamManagementConfig",
    "Table",
    "Tls",
    "Tracing",
    "Websocket",
    "Xml",
    "did_you_mean",
    "key",
    "load",
    "read",
    "section",
]
