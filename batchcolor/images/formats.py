"""Formats of still images and films: names, suffixes, what results can hold, how they are read."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from batchcolor.errors import UsageError
from batchcolor.hooks.types import Reader


@dataclass(frozen=True)
class Format:
    """A format of still images or films.

    `suffixes` are lower-case, with the dot; results get the first one.
    """

    name: str
    suffixes: tuple[str, ...]
    is_writable: bool = True
    supports_alpha: bool = False
    """Whether results can hold transparency."""
    supports_16_bits: bool = False
    """Whether results can hold more than 8 bits per sample; AVIF and HEIC hold 10 or 12."""
    is_film: bool = False
    """Whether it is a container of moving pictures."""
    still: Format | None = None
    """The format of the pictures of an animation; None for others."""
    substitute: Format | None = None
    """The format of results where this one is not writable; None for PNG."""
    imageio_plugin: str = ""
    """The imageio plugin that decodes it; empty where Pillow does."""
    module: str = ""
    """The Python module that decoding needs; empty where batchcolor's own dependencies do."""
    extra: str = ""
    """The extra of the package batchcolor that installs `module`."""

    @property
    def result_format(self) -> Format:
        """The format of results of a source in this format, unless `--format` selects one."""
        is_encoded = self.is_writable and not describe_missing_encoder(self)
        return self if is_encoded else self.substitute or PNG


JPEG = Format("jpeg", (".jpg", ".jpeg", ".jpe", ".jfif"))
PNG = Format("png", (".png",), supports_alpha=True, supports_16_bits=True)
WEBP = Format("webp", (".webp",), supports_alpha=True)
TIFF = Format("tiff", (".tif", ".tiff"), supports_alpha=True, supports_16_bits=True)
BMP = Format("bmp", (".bmp", ".dib"))
FORMATS = (JPEG, PNG, WEBP, TIFF, BMP)
"""Still formats that are read and written."""

JPEG_2000 = Format(
    "jpeg2000", (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"), is_writable=False, substitute=PNG
)
NETPBM = Format("netpbm", (".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".pfm"), is_writable=False)
TGA = Format("tga", (".tga", ".targa"), is_writable=False)
PCX = Format("pcx", (".pcx",), is_writable=False)
SGI = Format("sgi", (".sgi", ".rgb", ".rgba", ".bw"), is_writable=False)
ICON = Format("icon", (".ico", ".cur"), is_writable=False)
AVIF = Format(
    "avif",
    (".avif", ".avifs"),
    supports_alpha=True,
    supports_16_bits=True,
    substitute=JPEG,
    module="PIL._avif",
)
HEIF = Format(
    "heif",
    (".heic", ".heif", ".hif"),
    supports_alpha=True,
    supports_16_bits=True,
    substitute=JPEG,
    module="pillow_heif",
    extra="heif",
)
QOI = Format("qoi", (".qoi",), is_writable=False)
SUN_RASTER = Format("sun raster", (".ras", ".sun"), is_writable=False)
PSD = Format("psd", (".psd", ".psb"), is_writable=False, substitute=TIFF)
JPEG_XL = Format("jxl", (".jxl",), supports_alpha=True, supports_16_bits=True)
DPX = Format("dpx", (".dpx",), supports_alpha=True, supports_16_bits=True)
MODERN_FORMATS = (AVIF, HEIF, JPEG_XL, DPX)
"""Still formats that are read, after the readers of plugins, and written."""
CAMERA_RAW = Format(
    "camera raw",
    (
        *(".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srf", ".orf", ".rw2"),
        *(".raf", ".pef", ".srw", ".3fr", ".fff", ".iiq", ".mos", ".rwl", ".dcr"),
        *(".kdc", ".k25", ".mrw", ".mef", ".erf", ".x3f", ".gpr", ".bay"),
    ),
    is_writable=False,
    substitute=TIFF,
    imageio_plugin="rawpy",
    module="rawpy",
    extra="raw",
)
OPENEXR = Format("openexr", (".exr",), is_writable=False, substitute=TIFF)
RADIANCE = Format("radiance", (".hdr", ".pic"), is_writable=False, substitute=TIFF)
DICOM = Format(
    "dicom",
    (".dcm", ".dicom"),
    is_writable=False,
    module="pydicom",
    extra="dicom",
)
FITS = Format(
    "fits",
    (".fits", ".fts", ".fit"),
    is_writable=False,
    module="astropy",
    extra="fits",
)
READ_ONLY_FORMATS = (
    *(JPEG_2000, NETPBM, TGA, PCX, SGI, PSD, QOI, SUN_RASTER, ICON),
    *(CAMERA_RAW, OPENEXR, RADIANCE, DICOM, FITS),
)
"""Still formats that are read, after the readers of plugins, and not written."""
CRASH_PRONE_FORMATS = (CAMERA_RAW,)
"""Formats that are always decoded in a child process. LibRaw interprets the private structures of
hundreds of cameras; damaged files have crashed it most often. The child costs little beside it."""
BUILT_IN_FORMATS = (*FORMATS, *MODERN_FORMATS, *READ_ONLY_FORMATS)
"""Still formats that are read without a plugin."""
FORMATS_BY_SUFFIX = {s: kind for kind in BUILT_IN_FORMATS[len(FORMATS) :] for s in kind.suffixes}
"""Formats that are tried after the readers of plugins, by suffix."""

MP4 = Format("mp4", (".mp4", ".m4v"), is_film=True)
MOV = Format("mov", (".mov", ".qt"), is_film=True)
MKV = Format("mkv", (".mkv",), is_film=True)
GIF = Format("gif", (".gif",), supports_alpha=True, is_film=True)


def _read_only_film(name: str, *suffixes: str) -> Format:
    return Format(name, suffixes, is_writable=False, is_film=True)


WEBM = _read_only_film("webm", ".webm")
AVI = _read_only_film("avi", ".avi", ".divx")
MPEG = _read_only_film(
    *("mpeg", ".mpg", ".mpeg", ".vob", ".mpe", ".m2p", ".evo", ".vro", ".mod", ".dat")
)
FLV = _read_only_film("flv", ".flv")
WMV = _read_only_film("wmv", ".wmv", ".asf", ".dvr-ms")
MOBILE = _read_only_film("3gp", ".3gp", ".3g2")
MXF = Format("mxf", (".mxf",), is_film=True)
GXF = _read_only_film("gxf", ".gxf")
REAL_MEDIA = _read_only_film("realmedia", ".rm", ".rmvb")
MPEG_TS = _read_only_film(
    "mpeg-ts", ".ts", ".mts", ".m2ts", ".m2t", ".m2s", ".tp", ".trp", ".tod", ".mpegts"
)
MPEG_VIDEO = _read_only_film("mpeg video", ".m1v", ".m2v", ".mpv")
MPEG4_VIDEO = _read_only_film("mpeg-4 video", ".m4v", ".cmp")
H264 = _read_only_film("h264", ".h264", ".264", ".avc", ".26l", ".jvt")
H265 = _read_only_film("h265", ".h265", ".265", ".hevc")
AV1 = _read_only_film("av1", ".obu")
DIRAC = _read_only_film("dirac", ".drc", ".vc2")
DNXHD = _read_only_film("dnxhd", ".dnxhd", ".dnxhr")
OGG = _read_only_film("ogg", ".ogv", ".ogm", ".ogx", ".ogg")
DV = Format("dv", (".dv", ".dif"), is_film=True)
DVCPRO_HD = _read_only_film("dvcpro hd", ".dv", ".dif")
"""DV with frames of high definition, which FFmpeg's muxer of DV does not take."""
YUV4MPEG = _read_only_film("yuv4mpeg", ".y4m")
IVF = _read_only_film("ivf", ".ivf")
NUT = _read_only_film("nut", ".nut")
WTV = _read_only_film("wtv", ".wtv")
CINE = _read_only_film("cine", ".cine")
GAME_FILM = _read_only_film("game film", ".roq", ".smk", ".bik", ".bk2", ".mve", ".thp", ".nsv")
"""Containers of RoQ, Smacker, Bink, Interplay MVE, THP and NSV."""
VIDEO_FORMATS = (
    *(MP4, MOV, MKV, GIF, WEBM, AVI, MPEG, FLV, WMV, MOBILE, MXF, GXF, REAL_MEDIA, WTV),
    *(
        MPEG_TS,
        MPEG_VIDEO,
        MPEG4_VIDEO,
        H264,
        H265,
        AV1,
        DIRAC,
        DNXHD,
        OGG,
        DV,
        DVCPRO_HD,
        YUV4MPEG,
    ),
    *(IVF, NUT, CINE, GAME_FILM),
)

_ALL_BY_SUFFIX = {
    suffix: kind
    for kind in reversed((*BUILT_IN_FORMATS, *VIDEO_FORMATS))
    for suffix in kind.suffixes
}


def guess_format(suffix: str) -> Format | None:
    """The format that files with a suffix have as a rule; None where none is known."""
    return _ALL_BY_SUFFIX.get(suffix)


OTHER_FILM = _read_only_film("film")
"""A source of unknown content that is no text: FFmpeg reads more containers than `sniff` knows."""
ANIMATION = Format("animation", (), is_writable=False, supports_alpha=True, is_film=True)
"""An animated PNG, WebP or AVIF that becomes a film."""
APNG = Format("apng", (".png",), supports_alpha=True, is_film=True, still=PNG)
ANIMATED_WEBP = Format("awebp", (".webp",), supports_alpha=True, is_film=True, still=WEBP)
ANIMATION_FORMATS = (APNG, ANIMATED_WEBP)
"""Films and GIFs as animated PNG and WebP. Sources in them are `PNG` and `WEBP`."""
IMAGE_SEQUENCE = Format("numbered frames", (), is_writable=False, is_film=True)
"""A folder of numbered pictures that is read as a film."""

MOTION_JPEG_SUFFIXES = frozenset({".mjpeg", ".mjpg"})
"""Films that are a sequence of JPEG files."""
UNSNIFFABLE_VIDEO_SUFFIXES = MOTION_JPEG_SUFFIXES.union(
    {".h261", ".h263", ".h266", ".266", ".vvc", ".cavs", ".avs2", ".flc", ".fli"}
)
"""Films that their first bytes do not identify reliably; their suffix does."""
AMBIGUOUS_SUFFIXES = frozenset({".mod", ".dat", ".drc", ".ogg", ".cmp", ".avc"})
"""Suffixes of films that other files have as well (music, Draco meshes): their content decides."""
VIDEO_SUFFIXES = UNSNIFFABLE_VIDEO_SUFFIXES.union(
    *(known.suffixes for known in VIDEO_FORMATS)
).difference(AMBIGUOUS_SUFFIXES)
AUDIO_SUFFIXES = frozenset({".m4a", ".m4b", ".mka", ".weba", ".wma"})
"""Audio in a container that films use too: skipped unless the file itself is the source."""
VIDEO_OR_TEXT_SUFFIXES = frozenset({".ts", ".mts", ".dif", ".nut"})
"""Suffixes of films that text has too: TypeScript, tables (Data Interchange Format), Squirrel."""
UNREAD_SUFFIXES = frozenset(
    {
        *(".jxr", ".wdp", ".hdp", ".cin", ".phm", ".pcd", ".pict", ".pct"),
        *(".raw", ".xcf", ".kra", ".ora", ".afphoto", ".djvu", ".djv", ".pdf", ".eps", ".ps"),
        *(".svg", ".jng", ".mng", ".icns", ".dds", ".blp", ".dcx", ".im"),
        *(".msp", ".miff", ".viff", ".vicar", ".wbmp", ".xbm", ".xpm", ".xwd", ".iff", ".lbm"),
    }
)
"""Pictures that only a plugin of batchcolor can read: reported as skipped without one."""


def find_writable_format(name: str) -> Format:
    """Returns the output format with this name or suffix.

    Raises UsageError for another name, which lists the output formats, and for a format whose
    encoder is not installed.
    """
    known_formats = (*FORMATS, *MODERN_FORMATS, *VIDEO_FORMATS, *ANIMATION_FORMATS)
    writable = [known for known in known_formats if known.is_writable]
    for known in writable:
        if name.lower() == known.name or f".{name.lower()}" in known.suffixes:
            if missing := describe_missing_encoder(known):
                raise UsageError(f"--format {name}: {missing}")
            return known
    names = ", ".join(known.name for known in writable)
    raise UsageError(f"--format {name}: not an output format; choose one of {names}")


def is_writable_suffix(suffix: str) -> bool:
    """Whether results that are still images can have this suffix."""
    suffix = suffix.lower()
    return any(suffix in known.suffixes for known in (*FORMATS, *MODERN_FORMATS))


def is_picture_suffix(suffix: str, readers: Sequence[Reader] = ()) -> bool:
    """Whether a file with this suffix is expected to be a picture that can be read."""
    suffix = suffix.lower()
    if any(suffix in known.suffixes for known in FORMATS):
        return True
    if any(suffix in reader.suffixes for reader in readers):
        return True
    known = FORMATS_BY_SUFFIX.get(suffix)
    return known is not None and not describe_missing_decoder(known)


@lru_cache
def describe_missing_decoder(kind: Format) -> str:
    """Returns why a format cannot be decoded and what to install, or an empty string.

    Finds the module that decodes it without importing it.
    """
    if not kind.module or importlib.util.find_spec(kind.module) is not None:
        return ""
    if not kind.extra:
        return f"{kind.name.upper()} needs a Pillow that is built with it"
    name = kind.name if kind is CAMERA_RAW else kind.name.upper()
    return f"{name} needs one more package: pip install 'batchcolor[{kind.extra}]'"


@lru_cache
def describe_missing_encoder(kind: Format) -> str:
    """Returns why a format cannot be encoded and what to install, or an empty string."""
    missing = describe_missing_decoder(kind)
    if missing or kind != HEIF:
        return missing
    import pillow_heif  # some packages of it have no encoder, for its patents

    if pillow_heif.libheif_info()["HEIF"]:
        return ""
    return "this installation of pillow-heif has no HEVC encoder; install it from PyPI"
