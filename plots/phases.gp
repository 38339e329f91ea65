# SPDX-License-Identifier: MIT
# Throughput of prefill and decode, a row a configuration, with the 95 % interval of the median.
X_TITLE = 'Throughput (tokens/s)'
load PLOTS.'/rows.gp'
