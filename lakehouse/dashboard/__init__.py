"""``lakehouse dashboard``: the published tables in a browser, read live by a login that only reads.

``queries`` asks PostgreSQL, ``view`` is what a link says, ``charts`` draws, ``downloads`` makes files, ``app`` is the
page that Streamlit runs, and ``serving`` runs Streamlit. It is an optional extra: only ``app``, ``charts`` and
``serving`` need it.
"""
