// LibTorch has Gloo inside and ships no header of it: what its ProcessGroupGloo.hpp names is declared here.
#pragma once
