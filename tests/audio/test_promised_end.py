"""Files of other containers that are shorter than their header says."""

import struct

import numpy as np
import pytest
import soundfile
from audio_bytes import RATE_HZ

from earbit.audio.decode import audio_info, read_audio
from earbit.errors import DataError

WHOLE = {
    "x.aiff": {},
    "x.aifc": {"format": "AIFF", "subtype": "ULAW"},
    "x.au": {},
    "x.snd": {"format": "AU", "endian": "LITTLE"},
    "x.w64": {},
    "x.sph": {"format": "NIST"},
    "x.caf": {},
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_cut_is_refused_and_a_whole_one_is_read(tmp_path, tone, name):
    path = tmp_path / name
    soundfile.write(path, tone, RATE_HZ, **WHOLE[name])
    assert read_audio(path).size == audio_info(path).n_samples == tone.size
    whole = path.read_bytes()
    path.write_bytes(whole[:-5_000])
    for read in (read_audio, audio_info):
        with pytest.raises(DataError, match=r"breaks off 50\d\d bytes before|is malformed"):
            read(path)


@pytest.mark.parametrize("length", [0, 0x7F000008, 0xFFFFFFFF])
def test_an_aiff_or_au_of_a_pipe_is_read_to_its_end(tmp_path, tone, length):
    path = tmp_path / "x.au"
    samples = (tone * 32767).astype(">i2").tobytes()
    if length == 0xFFFFFFFF:
        content = b".snd" + struct.pack(">IIIII", 24, length, 3, RATE_HZ, 1)
    else:
        rate = struct.pack(">HQ", 0x400C, 0xFA << 56)  # 16000 as a float of 80 bits
        comm = b"COMM" + struct.pack(">IHIH", 18, 1, 0, 16) + rate
        content = b"FORM" + struct.pack(">I", length) + b"AIFF" + comm
        content += b"SSND" + struct.pack(">IQ", length, 0)
    path.write_bytes(content + samples)
    np.testing.assert_allclose(read_audio(path), tone, atol=1e-4)
