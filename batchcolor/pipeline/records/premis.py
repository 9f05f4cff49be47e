"""A result as a PREMIS 3 document: two objects, the event between them, and the software.

PREMIS Data Dictionary for Preservation Metadata, version 3.0 (Library of Congress, 2015), and its
schema premis-v3-0.xsd, whose order of elements is kept.
"""

from __future__ import annotations

import json

from lxml import etree

from batchcolor.images.provenance_marks.provenance import SOFTWARE_NAME
from batchcolor.pipeline.records.result_record import ResultRecord
from batchcolor.version import __version__

PREMIS = "http://www.loc.gov/premis/v3"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = f"{PREMIS} https://www.loc.gov/standards/premis/premis.xsd"
EVENT_TYPES = {
    "coloured": "modification",
    "copied": "replication",
    "kept grey": "replication",
}
"""Terms of the vocabulary http://id.loc.gov/vocabulary/preservation/eventType."""


def build_premis(record: ResultRecord, time: str) -> bytes:
    """Returns the XML document; `time` is that of the event, ISO 8601."""
    root = etree.Element(_tag("premis"), nsmap={"premis": PREMIS, "xsi": XSI}, version="3.0")
    root.set(f"{{{XSI}}}schemaLocation", SCHEMA)
    provenance = record.provenance
    source, result = record.source.name, record.target.name
    source_fixity = (provenance.source_sha256, record.source_size)
    _add_object(root, f"source/{source}", *source_fixity, record.source_format, source)
    fixity = (record.fixity.sha256, record.fixity.size)
    _add_object(root, f"result/{result}", *fixity, record.target_format, "")
    event = _add(root, "event")
    _add_identifier(event, "event", "local", f"{record.action}/{record.fixity.sha256}")
    is_converted = record.action != "coloured" and record.source_format != record.target_format
    _add(event, "eventType", "migration" if is_converted else EVENT_TYPES[record.action])
    _add(event, "eventDateTime", time)
    detail = json.dumps(
        {"digital_source_type": provenance.digital_source_type, **provenance.parameters},
        sort_keys=True,
    )
    text = {
        "coloured": detail,
        "copied": "in colour already: copied byte for byte",
        "kept grey": "kept grey, as decided",
    }[record.action]
    _add(_add(event, "eventDetailInformation"), "eventDetail", text)
    outcome = _add(event, "eventOutcomeInformation")
    _add(outcome, "eventOutcome", "success")
    for note in record.notes:
        _add(_add(outcome, "eventOutcomeDetail"), "eventOutcomeDetailNote", note)
    agent_name = f"{SOFTWARE_NAME} {__version__}"
    linked = _add(event, "linkingAgentIdentifier")
    _add(linked, "linkingAgentIdentifierType", "local")
    _add(linked, "linkingAgentIdentifierValue", agent_name)
    _add(linked, "linkingAgentRole", "executing program")
    for name, role in ((f"source/{source}", "source"), (f"result/{result}", "outcome")):
        linked = _add(event, "linkingObjectIdentifier")
        _add(linked, "linkingObjectIdentifierType", "local")
        _add(linked, "linkingObjectIdentifierValue", name)
        _add(linked, "linkingObjectRole", role)
    agent = _add(root, "agent")
    _add_identifier(agent, "agent", "local", agent_name)
    _add(agent, "agentName", SOFTWARE_NAME)
    _add(agent, "agentType", "software")
    _add(agent, "agentVersion", __version__)
    document: bytes = etree.tostring(
        root, encoding="utf-8", xml_declaration=True, pretty_print=True
    )
    return document


def _add_object(
    root: etree._Element, name: str, digest: str, size: int, format_name: str, original: str
) -> None:
    """Adds a file with its checksum, size, format and original name."""
    file = _add(root, "object")
    file.set(f"{{{XSI}}}type", "premis:file")
    _add_identifier(file, "object", "local", name)
    characteristics = _add(file, "objectCharacteristics")
    if digest:
        fixity = _add(characteristics, "fixity")
        _add(fixity, "messageDigestAlgorithm", "SHA-256")
        _add(fixity, "messageDigest", digest)
    _add(characteristics, "size", str(size))
    designation = _add(_add(characteristics, "format"), "formatDesignation")
    _add(designation, "formatName", format_name)
    if original:
        _add(file, "originalName", original)


def _add_identifier(parent: etree._Element, kind: str, scheme: str, value: str) -> None:
    identifier = _add(parent, f"{kind}Identifier")
    _add(identifier, f"{kind}IdentifierType", scheme)
    _add(identifier, f"{kind}IdentifierValue", value)


def _add(parent: etree._Element, name: str, text: str = "") -> etree._Element:
    element = etree.SubElement(parent, _tag(name))
    element.text = _printable(text) or None
    return element


def _printable(text: str) -> str:
    """Returns text that XML can hold: undecodable bytes of names and controls are escaped."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def _tag(name: str) -> str:
    return f"{{{PREMIS}}}{name}"
