"""What the runs of a study say: records to cells, contrasts and verdicts.

Pure functions over `keras16.study.Study` and `keras16.results.Record`; words, tables
and figures are made of them in `keras16.report.study`.
"""
