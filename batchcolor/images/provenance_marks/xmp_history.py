"""Adds to an XMP packet and reads from it (ISO 16684-1; Adobe XMP specification, parts 1 and 2)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lxml import etree

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
META = "adobe:ns:meta/"
XMP = "http://ns.adobe.com/xap/1.0/"
MEDIA = "http://ns.adobe.com/xap/1.0/mm/"
EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PREFIXES = {
    **{"x": META, "rdf": RDF, "xmp": XMP, "xmpMM": MEDIA},
    **{"stEvt": EVENT, "Iptc4xmpExt": IPTC},
}
SOURCE_TYPE = f"{{{IPTC}}}DigitalSourceType"
CREATOR_TOOL = f"{{{XMP}}}CreatorTool"
HISTORY = f"{{{MEDIA}}}History"
EMPTY = f'<x:xmpmeta xmlns:x="{META}"><rdf:RDF xmlns:rdf="{RDF}"/></x:xmpmeta>'.encode()
START = b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
END = b'\n<?xpacket end="w"?>\n'
"""With a last newline, as ImageMagick 6 does not read the last byte of a packet."""


class InvalidXmpError(Exception):
    """A packet is not XML, or has no RDF."""


def add_history_entry(
    packet: bytes,
    source_type: str,
    software: str,
    parameters: Mapping[str, Any],
    replaced: Mapping[str, str],
) -> bytes:
    """Returns the packet with source type, creator tool and one more history entry.

    All other properties are kept, in their order and form. An empty packet gives a new one. The
    previous source type and creator tool become part of the entry's parameters, with `replaced`.
    Raises InvalidXmpError.
    """
    root = _parse(packet.strip(b"\0 \r\n\t") or EMPTY)
    rdf = _find_rdf(root)
    first = rdf.find(f"{{{RDF}}}Description")
    if first is None:
        first = etree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""})
    first = _declare_prefixes(rdf, first)
    values = {
        "DigitalSourceType": (SOURCE_TYPE, source_type),
        "CreatorTool": (CREATOR_TOOL, software),
    }
    replaced = dict(replaced)
    for name, (tag, value) in values.items():
        previous = _set_property(rdf, first, tag, value)
        if previous and previous != value:
            replaced[name] = previous
    document = {**parameters, "replaced": replaced} if replaced else dict(parameters)
    entry = {
        "action": "edited",
        "softwareAgent": software,
        "parameters": json.dumps(document, sort_keys=True),
    }
    item = etree.SubElement(_find_history(rdf, first), f"{{{RDF}}}li")
    item.set(f"{{{RDF}}}parseType", "Resource")
    for name, text in entry.items():
        etree.SubElement(item, f"{{{EVENT}}}{name}", nsmap={"stEvt": EVENT}).text = text
    content: bytes = etree.tostring(root, encoding="utf-8")
    return START + content + END


def read_history(packet: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Returns the digital source type, and software agent and parameters of each history entry.

    Raises InvalidXmpError.
    """
    rdf = _find_rdf(_parse(packet.strip(b"\0 \r\n\t")))
    kind = next((text for text in _values(rdf, SOURCE_TYPE)), "")
    entries = []
    for history in rdf.iter(HISTORY):
        for item in history.iter(f"{{{RDF}}}li"):
            fields = {etree.QName(child).localname: child.text or "" for child in item.iter("*")}
            for holder in item.iter("*"):  # fields may be attributes of the entry
                fields |= {
                    etree.QName(key).localname: value
                    for key, value in holder.attrib.items()
                    if key.startswith(f"{{{EVENT}}}")
                }
            entries.append((fields.get("softwareAgent", ""), fields.get("parameters", "")))
    return kind, entries


def _parse(packet: bytes) -> etree._Element:
    """Returns the root of a packet. Entities are not resolved and nothing is loaded."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(packet, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise InvalidXmpError(str(error).split(", line")[0]) from error
    if root.getroottree().docinfo.doctype:
        raise InvalidXmpError("it has a document type")
    return root


def _find_rdf(root: etree._Element) -> etree._Element:
    rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f"{{{RDF}}}RDF")
    if rdf is None:
        raise InvalidXmpError("it has no RDF")
    return rdf


def _declare_prefixes(rdf: etree._Element, first: etree._Element) -> etree._Element:
    """Returns the description with the prefixes of the marks, each declared once, here.

    ImageMagick 6 warns about a TIFF whose packet declares them where they are used.
    """
    known = set(first.nsmap.values())
    missing = {
        prefix: uri
        for prefix, uri in PREFIXES.items()
        if uri not in known and uri != META and prefix not in first.nsmap
    }
    if not missing:
        return first
    declared = etree.Element(first.tag, dict(first.attrib), nsmap={**first.nsmap, **missing})
    declared.text, declared.tail = first.text, first.tail
    declared.extend(list(first))
    rdf.replace(first, declared)
    return declared


def _values(rdf: etree._Element, tag: str) -> Iterator[str]:
    """Yields the values of a simple property, written as an attribute or as an element."""
    for description in rdf.iterfind(f"{{{RDF}}}Description"):
        if tag in description.attrib:
            yield str(description.attrib[tag])
        for element in description.iterfind(tag):
            yield element.text or str(element.get(f"{{{RDF}}}resource", ""))


def _set_property(rdf: etree._Element, first: etree._Element, tag: str, value: str) -> str:
    """Sets a simple property and returns its previous value, or an empty string."""
    previous = next(_values(rdf, tag), "")
    for description in rdf.iterfind(f"{{{RDF}}}Description"):
        description.attrib.pop(tag, None)
        for element in description.findall(tag):
            description.remove(element)
    uri, _ = tag[1:].split("}")
    prefix = next(name for name, known in PREFIXES.items() if known == uri)
    etree.SubElement(first, tag, nsmap={prefix: uri}).text = value
    return previous


def _find_history(rdf: etree._Element, first: etree._Element) -> etree._Element:
    """Returns the list of history entries, which is made where it is missing."""
    history = next(iter(rdf.iterfind(f"{{{RDF}}}Description/{HISTORY}")), None)
    if history is None:
        history = etree.SubElement(first, HISTORY, nsmap={"xmpMM": MEDIA})
    entries = history.find(f"{{{RDF}}}Seq")
    return entries if entries is not None else etree.SubElement(history, f"{{{RDF}}}Seq")
