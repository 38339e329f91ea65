# SPDX-License-Identifier: MIT
# Marks in labelled rows, shared by efficiency.gp and phases.gp.
load PLOTS.'/common.gp'

set border 1
set grid xtics back lt 1 lw 0.5 lc rgb FAINT
set grid ytics back lt 1 lw 0.5 lc rgb FAINT
set yrange [Y_MAX:Y_MIN]
set ytics scale 0 ()
do for [i = 1:words(ROW_TEXT)] {
    set ytics add (word(ROW_TEXT, i) real(word(ROW_Y, i)))
}
set label 2 X_TITLE at screen X_TITLE_X, X_TITLE_Y center textcolor rgb INK

plot DATA using 'x':'y':'x_low':'x_high':'colour' with xerrorbars pt 0 lw 1.6 lc rgb variable, \
     DATA using 'x':'y':'size':'under' with points ps variable pt variable lc rgb '#ffffff', \
     DATA using 'x':'y':'size':'shape':'colour' with points ps variable pt variable lw 1.3 lc rgb variable, \
     DATA using 'x':'y':'inner_size':'inner':'colour' with points ps variable pt variable lw 1.3 lc rgb variable
