# SPDX-License-Identifier: MIT
# Power over time, a line a meter domain (dashed and hollow: not measured); shades are
# the phases.
load PLOTS.'/common.gp'

set grid ytics back lt 1 lw 0.5 lc rgb FAINT
set label 2 'Time (s)' at screen X_TITLE_X, X_TITLE_Y center textcolor rgb INK
set label 3 'Power (W)' at screen Y_TITLE_X, Y_TITLE_Y center rotate by 90 textcolor rgb INK

do for [i = 1:words(SHADES)/3] {
    set object i rectangle from real(word(SHADES, 3 * i - 2)), graph 0 to real(word(SHADES, 3 * i - 1)), graph 1 behind fc rgb word(SHADES, 3 * i) fs solid noborder
}

plot for [s = 1:N_SERIES] DATA using 'x':(column('series') == s ? column('y') : NaN) with lines lw 1.2 dt int(word(SERIES, 2 * s)) lc rgb word(SERIES, 2 * s - 1), \
     for [s = 1:N_SERIES] DATA using 'x':(column('series') == s ? column('y') : NaN):'size':'shape':'colour' with points ps variable pt variable lc rgb variable
