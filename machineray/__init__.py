"""MachineRay: from public-domain abstract paintings to new, print-sized abstract art."""

__version__ = "0.1.0"
