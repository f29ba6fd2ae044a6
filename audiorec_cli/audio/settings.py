"""The settings of spectrograms: light, so that the process that hands out files starts soon."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SpectrogramSettings:
    """How sound becomes a spectrogram; the defaults are [A]'s 599 frames x 128 mel bins.

    sample_rate : Hz; n_fft, hop_length : samples; seconds : of the excerpt
    compression : c in log(1 + c · mel), as in Dieleman & Schrauwen, ICASSP 2014
    """

    sample_rate: int = 22_050
    n_fft: int = 2048
    hop_length: int = 1102
    n_mels: int = 128
    seconds: float = 30.0
    compression: float = 10_000.0

    @property
    def n_samples(self):
        """Samples of an excerpt."""
        return round(self.seconds * self.sample_rate)

    @property
    def n_frames(self):
        """Frames of an excerpt, without padding at its ends."""
        return 1 + (self.n_samples - self.n_fft) // self.hop_length
