#include "proto/util/yaml.h"
