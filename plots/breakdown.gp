# SPDX-License-Identifier: MIT
# Where time, cycles and joules of simulated phases went: a bar a phase, a panel a quantity.
load PLOTS.'/common.gp'

set border 0
unset logscale x
set xtics scale 0 ()
do for [i = 1:words(TIC_TEXT)] {
    set xtics add (word(TIC_TEXT, i) real(word(TIC_X, i)))
}
set grid xtics back lt 1 lw 0.5 lc rgb FAINT
set yrange [Y_MAX:Y_MIN]
set ytics scale 0 ()
do for [i = 1:words(ROW_TEXT)] {
    set ytics add (word(ROW_TEXT, i) real(word(ROW_Y, i)))
}
do for [i = 1:words(PANEL_TEXT)] {
    set label 10 + i word(PANEL_TEXT, i) at first real(word(PANEL_X, i)), screen X_TITLE_Y center textcolor rgb INK
}

plot DATA using 'x':'y':'x_low':'x_high':'y_low':'y_high':'colour' with boxxyerror fill solid 1.0 noborder lc rgb variable, \
     DATA using 'x':'y':'size':'shape':'colour' with points ps variable pt variable lc rgb variable
