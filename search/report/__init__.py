"""The report: one HTML page that answers the study's question, and the tables and figures behind it.

`compute_*()` functions turn a run's files into frozen data, `draw_*()` functions turn those into charts, and
`write.write_report()` puts both on one page. The imports that cost seconds (altair, pandas, scipy) happen inside.
"""
