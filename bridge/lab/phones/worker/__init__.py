"""The process that a phone lives in: ``python -m bridge.lab.phones.worker``.

It speaks ``bridge.lab.phones.wire`` over stdin and stdout, and is the only place that imports
pjsua2 (GPL): its threads and its licence stay out of the program that uses the phone.
"""
