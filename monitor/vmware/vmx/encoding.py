"""The `.encoding` of a .vmx file: VMware's names of character sets, as Python's codecs.

VMware writes IANA's and Microsoft's names: "UTF-8", "windows-1252", "Shift_JIS", "GBK". A file is
cut into names and values byte by byte, so only character sets that contain ASCII can be named;
UTF-16, EBCDIC or ISO-2022 cannot.
"""

from __future__ import annotations

import codecs
import re

UTF_8 = "utf-8"
WESTERN = "cp1252"

# What Windows means by these names holds more characters than the standard of that name.
WIDER = {
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "gb2312": "gbk",
    "big5": "cp950",
    "iso8859-1": WESTERN,
}
KNOWN = {  # Python's own names of those that contain ASCII
    "ascii", UTF_8, "shift_jis", "cp932", "shift_jis_2004", "euc_jp", "gb2312", "gbk",
    "gb18030", "big5", "big5hkscs", "cp950", "euc_kr", "cp949", "johab", "koi8-r", "koi8-u",
    "mac-roman", "mac-cyrillic", "mac-greek", "mac-latin2", "mac-turkish", "tis-620", "cp874",
    "cp437", "cp737", "cp775", "cp850", "cp852", "cp855", "cp857", "cp858", "cp860", "cp861",
    "cp862", "cp863", "cp865", "cp866", "cp869",
    *(f"cp{number}" for number in range(1250, 1259)),
    *(f"iso8859-{part}" for part in range(1, 17) if part != 12),
}
MICROSOFT = {"windows-31j": "cp932", "windows-932": "cp932", "windows-936": "gbk",
             "windows-949": "cp949", "windows-950": "cp950", "windows-54936": "gb18030"}


def codec_of(name: str) -> str | None:
    """Python's name of a character set, or None for one that is unknown or lacks ASCII.

    >>> codec_of("windows-1252"), codec_of("Shift_JIS"), codec_of("UTF-16"), codec_of("rot13")
    ('cp1252', 'cp932', None, None)
    """
    wanted = name.strip().lower()
    wanted = MICROSOFT.get(wanted, re.sub(r"^(windows|ibm)-(?=\d)", "cp", wanted))
    try:
        found = codecs.lookup(wanted).name
    except (LookupError, ValueError):  # ValueError: a NUL in the name
        return None
    return WIDER.get(found, found) if found in KNOWN else None
