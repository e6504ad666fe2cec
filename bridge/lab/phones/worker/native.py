"""The few things that pjsua2's Python surface leaves out, through pjsip's own C functions.

The wheel carries pjsip in one shared object that exports its public C symbols. Needed are:

- L16 at 8 and 16 kHz. The codec itself takes any rate, but the wheel registers it at 44.1 kHz
  only (PJMEDIA_CODEC_L16_HAS_16KHZ_MONO is a compile-time switch, off by default). The entry in
  the codec manager's list is rewritten to the rate that is wanted, after a check that it is laid
  out as pjmedia/codec.h of pjproject 2.15 says.
- G.722 at the level of everybody else. By default pjmedia shifts samples by two bits on their way
  in and out, until the decoder clips for the first time (pjmedia-codec/g722.c): a phone is then
  6 dB too low, and suddenly 6 dB too high. One bit is what Asterisk's codec agrees with (measured:
  within 0.1 dB both ways).
- Sending nothing at all. pjmedia_stream_pause() stops a stream's encoding direction: no RTP, not
  even the packet every 5 s that pjmedia's voice activity detection sends.
"""

from __future__ import annotations

import ctypes

import pjsua2 as pj
from pjsua2 import _pjsua2

from bridge.model.errors import PhoneError

_DIR_ENCODING = 1  # PJMEDIA_DIR_ENCODING, pjmedia/types.h
_ID_LENGTH = 32  # PJMEDIA_CODEC_ID is char[32], pjmedia/codec.h
_DISCARD_NONE = 0  # PJMEDIA_JB_DISCARD_NONE, pjmedia/jbuf.h
_G722_SHIFT = 1
_DIRECTION = "the direction of a stream"
_TYPE_AUDIO = 1  # PJMEDIA_TYPE_AUDIO

# Asterisk writes L16/8000 as payload type 10 (main/rtp_engine.c), and pjmedia compares payload
# types below 96 by number alone; 16 kHz has no static number.
_PAYLOAD_TYPES = {8000: 10, 16000: 118}


class _Str(ctypes.Structure):
    _fields_ = (("ptr", ctypes.c_char_p), ("slen", ctypes.c_ssize_t))


class _CodecInfo(ctypes.Structure):
    """pjmedia_codec_info."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("pt", ctypes.c_uint),
        ("encoding_name", _Str),
        ("clock_rate", ctypes.c_uint),
        ("channel_cnt", ctypes.c_uint),
    )


class _CodecEntry(ctypes.Structure):
    """The beginning of pjmedia_codec_desc."""

    _fields_ = (("info", _CodecInfo), ("id", ctypes.c_char * _ID_LENGTH))


def keep_every_frame(media: pj.MediaConfig) -> None:
    """Tell jitter buffers never to drop a frame to save delay (PJMEDIA_JB_DISCARD_NONE).

    By default pjmedia cuts one out some seconds into every call. SWIG hands the option out as a
    pointer to a copy and takes nothing else back, so the copy is overwritten.
    """
    algorithm = media.jbDiscardAlgo
    ctypes.c_int.from_address(int(algorithm)).value = _DISCARD_NONE
    media.jbDiscardAlgo = algorithm
    algorithm.disown()  # SWIG knows no way to free it and would complain of that


def log_errors_only() -> None:
    """Keep pjlib's banner out of the log; ``logConfig`` comes too late for it."""
    ctypes.CDLL(_pjsua2.__file__).pj_log_set_level(1)


class Native:
    """pjsip's C functions; made after ``Endpoint.libInit()``."""

    def __init__(self) -> None:
        library = ctypes.CDLL(_pjsua2.__file__)
        self._endpoint = library.pjsua_get_pjmedia_endpt
        self._endpoint.restype = ctypes.c_void_p
        self._manager = library.pjmedia_endpt_get_codec_mgr
        self._manager.argtypes = (ctypes.c_void_p,)
        self._manager.restype = ctypes.c_void_p
        self._find = library.pjmedia_codec_mgr_find_codecs_by_id
        self._find.argtypes = (
            ctypes.c_void_p,
            ctypes.POINTER(_Str),
            ctypes.POINTER(ctypes.c_uint),
            ctypes.POINTER(ctypes.POINTER(_CodecInfo)),
            ctypes.c_void_p,
        )
        self._shift_g722 = library.pjmedia_codec_g722_set_pcm_shift
        self._shift_g722.argtypes = (ctypes.c_uint,)
        self._pause = library.pjmedia_stream_pause
        self._resume = library.pjmedia_stream_resume
        for function in (self._pause, self._resume):
            function.argtypes = (ctypes.c_void_p, ctypes.c_int)

    def register_l16(self, rate: int) -> None:
        """Offer L16 mono at ``rate`` (8000 or 16000 Hz); PhoneError if this pjsua2 has no L16."""
        wanted = f"L16/{rate}/1".encode()
        if self._entry(wanted) is not None:
            return
        stereo, mono = self._entry(b"L16/44100/2"), self._entry(b"L16/44100/1")
        if mono is None:
            raise PhoneError(
                "this build of pjsua2 has no L16; use codec G722, or pjsua2-python 2.15.1.post1"
            )
        mono.id = wanted
        mono.info.clock_rate = rate
        mono.info.pt = _PAYLOAD_TYPES[rate]
        if stereo is not None:
            stereo.info.pt = 11  # out of the way of L16/8000

    def level_g722(self) -> None:
        """Let G.722 carry samples at the level at which Asterisk's codec does."""
        self._check(self._shift_g722(_G722_SHIFT), "the level of G.722")

    def _entry(self, codec_id: bytes) -> _CodecEntry | None:
        """The codec manager's own entry for an id, checked to be one; None if there is none."""
        count = ctypes.c_uint(1)
        found = ctypes.POINTER(_CodecInfo)()
        name = _Str(codec_id, len(codec_id))
        manager = self._manager(self._endpoint())
        status = self._find(
            manager, ctypes.byref(name), ctypes.byref(count), ctypes.byref(found), None
        )
        if status or not count.value:
            return None
        entry = _CodecEntry.from_address(ctypes.addressof(found.contents))
        if entry.info.type != _TYPE_AUDIO or entry.id != codec_id:
            raise PhoneError(
                "this build of pjsua2 lays out its codecs in an unknown way; "
                "use codec G722, or pjsua2-python 2.15.1.post1"
            )
        return entry

    def pause_sending(self, stream: int) -> None:
        """Send no RTP on a pjmedia_stream (address) from now on."""
        self._check(self._pause(stream, _DIR_ENCODING), _DIRECTION)

    def resume_sending(self, stream: int) -> None:
        """Send RTP again."""
        self._check(self._resume(stream, _DIR_ENCODING), _DIRECTION)

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status:
            raise PhoneError(f"pjmedia could not change {what}: status {status}")
