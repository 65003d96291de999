"""
Play the gateway of Dutch Customs on loopback, for tests and rehearsals; needs `pip install htpoort[smtp]`.

What it does where nothing is published is its own choice and marked so.
"""

from htpoort.simulator._mailbox import Mail, Mailbox
from htpoort.simulator.certificates import ClientCertificate, GatewayTls
from htpoort.simulator.clock import Clock, RealClock, SimulatedClock
from htpoort.simulator.declarants import Declarant
from htpoort.simulator.declarations import Declaration, Sent, Way
from htpoort.simulator.faults import Action, AnswerFault, At, Pop3Fault, SmtpFault
from htpoort.simulator.gateway import Gateway
from htpoort.simulator.scenarios import Answer, Kind, RepeatedK, Scenario, Script
from htpoort.simulator.windows import Behaviour, Window

__all__ = [
    "Action",
    "Answer",
    "AnswerFault",
    "At",
    "Behaviour",
    "ClientCertificate",
    "Clock",
    "Declarant",
    "Declaration",
    "Gateway",
    "GatewayTls",
    "Kind",
    "Mail",
    "Mailbox",
    "Pop3Fault",
    "RealClock",
    "RepeatedK",
    "Scenario",
    "Script",
    "Sent",
    "SimulatedClock",
    "SmtpFault",
    "Way",
    "Window",
]
