"""batchcolor: colours folders of black-and-white photographs in batches."""

__version__ = "0.1.0"
