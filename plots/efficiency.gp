# SPDX-License-Identifier: MIT
# Tokens per joule, a row a configuration, with the 95 % interval of the median.
X_TITLE = 'Energy efficiency (tokens/J)'
load PLOTS.'/rows.gp'
