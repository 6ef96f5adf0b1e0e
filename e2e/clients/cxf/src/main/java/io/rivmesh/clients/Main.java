package io.rivmesh.clients;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * Calls through a running platform with Apache CXF; see ../../../../../../../../README.md for what it prints.
 * Options come first, then the names of the calls to make.
 */
public final class Main {
    /** One call; a wrong answer is an exception. */
    public interface Call {
        void make() throws Exception;
    }

    /** Calls by name. */
    public interface Calls {
        Map<String, Call> byName(Endpoint endpoint) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, String> options = new HashMap<>();
        List<String> names = new ArrayList<>();
        for (int i = 0; i < arguments.length; i++) {
            if (arguments[i].startsWith("--")) {
                options.put(arguments[i].substring(2), arguments[++i]);
            } else {
                names.add(arguments[i]);
            }
        }
        Endpoint endpoint = Endpoint.from(options);
        Map<String, Call> calls = new HashMap<>(new GreetingCalls().byName(endpoint));
        if (options.containsKey("official")) {
            // Built only where the official schemas are, so it cannot be named in the source.
            Class<?> official = Class.forName("io.rivmesh.clients.OfficialCalls");
            calls.putAll(((Calls) official.getDeclaredConstructor().newInstance()).byName(endpoint));
        }
        boolean failed = false;
        for (String name : names) {
            try {
                calls.get(name).make();
                System.out.println("PASS " + name);
            } catch (Exception | AssertionError error) {
                failed = true;
                System.out.println("FAIL " + name + ": " + String.valueOf(error).replaceAll("\\s+", " "));
            }
        }
        System.exit(failed ? 1 : 0);
    }

    static void expect(Object actual, Object wanted) {
        if (!wanted.equals(actual)) {
            throw new AssertionError(actual + " came where " + wanted + " was wanted");
        }
    }

    private Main() {
    }
}
